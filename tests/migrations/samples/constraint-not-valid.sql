-- A constraint for what is written from now on.
ALTER TABLE allocation ADD CONSTRAINT sample_check CHECK (version < 1000000) NOT VALID;
