-- Where rows may be missing, because they were pruned under a checkpoint.

ALTER TABLE watermark
ADD COLUMN pruned_before bigint NOT NULL DEFAULT 0 CHECK (pruned_before >= 0 AND pruned_before <= next_offset);
COMMENT ON COLUMN watermark.pruned_before IS
'up to here journal, ledger and dead letters may be gone; the last row before it stays, and what is open';
