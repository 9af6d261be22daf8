SELECT sequence FROM account WHERE connection_id = %(connection_id)s::uuid AND currency = %(currency)s
