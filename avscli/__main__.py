"""``python -m avscli`` is ``avs``."""

from avscli.cli import main

main()
