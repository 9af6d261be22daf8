-- What must not be done: every row is checked under an exclusive lock.
ALTER TABLE allocation ADD CONSTRAINT sample_bad CHECK (version < 1000000);
