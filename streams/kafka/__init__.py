"""Kafka, the one package that imports its client: records in and out by partition and offset, and the topics.

No groups, no transactions, no partitioner, no offset that Kafka keeps to go on from: partition and offset are always
explicit. Every wait ends: what does not answer is :class:`Transient` and names the brokers, never an empty answer.
"""

from streams.kafka.cluster import ANSWER_S, DEFAULT_PORT, KafkaCluster, parse_kafka_url
from streams.kafka.follower import FOLLOW_STALE_S, ROUNDS_STALE_S, KafkaFollower
from streams.kafka.sender import BUFFER_BYTES, DELIVERY_S, KafkaSender, SendFuture
from streams.kafka.tails import KafkaRecord, KafkaTail, KafkaTails

__all__ = [
    "ANSWER_S",
    "BUFFER_BYTES",
    "DEFAULT_PORT",
    "DELIVERY_S",
    "FOLLOW_STALE_S",
    "ROUNDS_STALE_S",
    "KafkaCluster",
    "KafkaFollower",
    "KafkaRecord",
    "KafkaSender",
    "KafkaTail",
    "KafkaTails",
    "SendFuture",
    "parse_kafka_url",
]
