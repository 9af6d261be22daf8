-- What must not be done: every row is written again under an exclusive lock.
ALTER TABLE allocation ADD COLUMN sample_bad uuid DEFAULT gen_random_uuid();
