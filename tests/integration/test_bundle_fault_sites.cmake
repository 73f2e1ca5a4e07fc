# Every call of the link that can fail.
include(${CMAKE_CURRENT_LIST_DIR}/test_journal.cmake)
set(calls PQsendPrepare PQsendQueryPrepared PQsendQueryParams PQsendFlushRequest PQpipelineSync PQflush
    PQconsumeInput PQgetResult PQconnectPoll)
list(TRANSFORM calls PREPEND -Wl,--wrap=)
target_sources(${test} PRIVATE integration/faults/libpq_faults.c)
target_include_directories(${test} PRIVATE integration/faults)
target_link_options(${test} PRIVATE ${calls})
target_link_libraries(${test} PRIVATE PkgConfig::libpq)
