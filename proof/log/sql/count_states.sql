SELECT (SELECT count(*) FROM allocation) + (SELECT count(*) FROM account)
