# Every allocation of the program, its libraries' included, goes by the test's functions. A
# sanitizer has some already: then those of our own code and of hiredis do.
target_sources(${test} PRIVATE integration/faults/memory_faults.c)
target_include_directories(${test} PRIVATE integration/faults)
target_link_options(${test} PRIVATE -Wl,--wrap=settler_take)
if(HEDDLE_SANITIZE)
    target_compile_definitions(${test} PRIVATE HAS_SANITIZER)
    target_link_options(${test} PRIVATE -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc)
endif()
target_link_libraries(${test} PRIVATE PkgConfig::hiredis)
