target_link_options(${target} PRIVATE -Wl,--wrap=redisConnectUnixWithTimeout)
target_link_libraries(${target} PRIVATE PkgConfig::hiredis)
