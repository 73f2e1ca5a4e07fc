# The Postgres of paper of the unit tests, and time that passes only where somebody waits.
set(test ${target})
include(${CMAKE_CURRENT_LIST_DIR}/../unit/test_uow_faults.cmake)
target_link_options(${target} PRIVATE -Wl,--wrap=clock_now_us,--wrap=clock_sleep_ms,--wrap=ppoll
                    -Wl,--wrap=relay_rebuild)
