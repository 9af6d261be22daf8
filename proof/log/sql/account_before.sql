CREATE TEMPORARY TABLE account_before (
    connection_id text, currency text, sequence bigint, available text, held text, PRIMARY KEY (connection_id, currency)
)
