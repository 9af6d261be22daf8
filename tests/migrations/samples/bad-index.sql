-- What must not be done: writers wait until the index is built.
CREATE INDEX sample_bad_index ON journal (command_id);
