"""Who calls: BitGo by its tokens, operators by theirs (contract, section 4)."""
