CREATE TEMPORARY TABLE usage_before (
    scope text, id text, kind text, currency text, day text, sequence bigint, total text,
    PRIMARY KEY (scope, id, kind, currency, day)
)
