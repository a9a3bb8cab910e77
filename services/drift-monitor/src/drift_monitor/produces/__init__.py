"""What goes out, one module a topic; each waits until Kafka has it, a broker's restart included."""
