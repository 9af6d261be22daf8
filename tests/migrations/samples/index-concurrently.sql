-- transactional: false
DROP INDEX CONCURRENTLY IF EXISTS sample_index;
CREATE INDEX CONCURRENTLY sample_index ON journal (command_id);
