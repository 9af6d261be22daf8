SELECT jsonb_object_agg(partition, pruned_before) FROM watermark WHERE pruned_before > 0
