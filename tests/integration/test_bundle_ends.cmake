include(${CMAKE_CURRENT_LIST_DIR}/test_uow_scenarios.cmake)
