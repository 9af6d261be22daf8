-- Of each partition the last journal row with an event, and the last dead letter.
SELECT
    partition,
    (
        SELECT "offset" FROM journal
        WHERE journal.partition = watermark.partition AND event IS NOT NULL
        ORDER BY "offset" DESC LIMIT 1
    ),
    (SELECT max("offset") FROM dead_letter WHERE dead_letter.partition = watermark.partition)
FROM watermark
