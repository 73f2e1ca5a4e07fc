include(${CMAKE_CURRENT_LIST_DIR}/test_uow_scenarios.cmake)
target_link_options(${test} PRIVATE -Wl,--wrap=userlock_acquire)
