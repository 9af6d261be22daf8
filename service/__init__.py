"""What the ingress and the processor share as processes: settings, logs, health, Kafka and Postgres connections."""
