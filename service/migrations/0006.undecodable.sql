-- A record whose batch can not be decoded is a dead letter like any other.

ALTER TABLE dead_letter DROP CONSTRAINT dead_letter_reason_check;
ALTER TABLE dead_letter ADD CONSTRAINT dead_letter_reason_check
CHECK (reason IN ('not_a_command', 'key_is_not_its_id', 'wrong_partition', 'undecodable'));
