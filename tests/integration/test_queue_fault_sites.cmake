# Every call of the link that can fail.
set(calls redisConnectUnixWithTimeout redisSetTimeout redisGetReplyFromReader redisBufferRead send)
list(TRANSFORM calls PREPEND -Wl,--wrap=)
target_sources(${test} PRIVATE integration/faults/redis_faults.c)
target_include_directories(${test} PRIVATE integration/faults)
target_link_options(${test} PRIVATE ${calls})
target_link_libraries(${test} PRIVATE PkgConfig::hiredis)
