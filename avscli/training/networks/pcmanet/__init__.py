"""How PCMANet trains: its sound side first and alone, then its stages, sometimes told the truth."""
