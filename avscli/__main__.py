"""``python -m avscli`` is ``avs``."""

from avscli.supervised import main

main()
