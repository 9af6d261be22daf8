SELECT
    EXISTS (SELECT FROM log_identity),
    EXISTS (SELECT FROM watermark),
    EXISTS (SELECT FROM journal) OR EXISTS (SELECT FROM allocation) OR EXISTS (SELECT FROM account)
    OR EXISTS (SELECT FROM connection) OR EXISTS (SELECT FROM platform_account) OR EXISTS (SELECT FROM adjustment)
    OR EXISTS (SELECT FROM daily_usage)
