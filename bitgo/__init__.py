"""The other side: BitGo, as our endpoints see it."""
