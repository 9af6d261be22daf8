"""BitGo's endpoints, a file for each family (contract, sections 7 and 10)."""
