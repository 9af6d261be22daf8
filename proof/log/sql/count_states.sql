SELECT
    (SELECT count(*) FROM allocation) + (SELECT count(*) FROM account) + (SELECT count(*) FROM connection)
    + (SELECT count(*) FROM platform_account) + (SELECT count(*) FROM adjustment) + (SELECT count(*) FROM daily_usage)
