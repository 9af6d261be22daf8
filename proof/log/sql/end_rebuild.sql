INSERT INTO log_identity (cluster_id, commands_topic, partitions)
VALUES (%(cluster_id)s, %(commands_topic)s, %(partitions)s)
