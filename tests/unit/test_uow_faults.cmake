# The faults of tests/unit/fake, and the real runner of tests/integration/runs.c. Without what the
# other tests of this folder share: that answers for the units of work that are at stake here.
set(libpq PQbackendPID PQclear PQcmdStatus PQcmdTuples PQconnectPoll PQconnectStartParams
    PQconsumeInput PQenterPipelineMode PQerrorMessage PQfinish PQflush PQfreeCancel PQgetCancel PQgetResult PQgetisnull
    PQgetvalue PQisBusy PQnfields PQntuples PQpipelineSync PQresultErrorField PQresultErrorMessage
    PQresultStatus PQsendFlushRequest PQsendPrepare PQsendQueryParams PQsendQueryPrepared
    PQsetNoticeProcessor PQsetnonblocking PQsocket PQstatus PQtransactionStatus)
list(TRANSFORM libpq PREPEND -Wl,--wrap= OUTPUT_VARIABLE wraps)
set_target_properties(${test} PROPERTIES LINK_LIBRARIES "")
set(fake ${CMAKE_CURRENT_LIST_DIR}/fake)
set(integration ${CMAKE_CURRENT_LIST_DIR}/../integration)
target_sources(${test} PRIVATE ${fake}/postgres.c ${fake}/statements.c ${fake}/libpq.c
               ${fake}/work.c ${integration}/runs.c)
target_include_directories(${test} PRIVATE ${fake} ${integration})
target_link_options(${test} PRIVATE ${wraps} -Wl,--wrap=settler_take
                    -Wl,--wrap=pg_wait)
target_link_libraries(${test} PRIVATE ${layers} PkgConfig::cmocka PkgConfig::libpq Threads::Threads)
