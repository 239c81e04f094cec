"""The process: signals, memory, log, privacy, progress, caches, checksums, staging, imports."""
