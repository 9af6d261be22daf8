"""Numbered checks of any partner's endpoints, made from what BitGo published and from the contract."""
