-- A constraint for what is written from now on, and the check of what is there, without its lock.
-- transactional: false
ALTER TABLE allocation VALIDATE CONSTRAINT sample_check;
