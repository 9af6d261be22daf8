SELECT tell(%(channel)s::text, %(payloads)s::text[])
