"""Archives by the thousand: a list of pictures, worked through by several processes, with a ledger of what is done."""
