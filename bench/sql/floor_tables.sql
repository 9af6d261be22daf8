CREATE TABLE watermark (partition integer PRIMARY KEY, next_offset bigint NOT NULL);
CREATE TABLE status (
    allocation_id uuid PRIMARY KEY, quantity numeric(78, 0) NOT NULL, currency text NOT NULL, connection_id uuid NOT NULL,
    client_id uuid NOT NULL, status text NOT NULL, version integer NOT NULL, updated_at timestamptz NOT NULL
);
CREATE TABLE journal (
    partition integer, "offset" bigint, allocation_id uuid NOT NULL, verb text NOT NULL, outcome text NOT NULL,
    version integer NOT NULL, recorded_at timestamptz NOT NULL, PRIMARY KEY (partition, "offset")
);
CREATE TABLE balance (
    connection_id uuid, currency text, available numeric(78, 0) NOT NULL, PRIMARY KEY (connection_id, currency)
);
CREATE TABLE claim (jti text PRIMARY KEY, expires_at bigint NOT NULL)
