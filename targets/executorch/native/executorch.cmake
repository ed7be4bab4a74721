# What a target needs of the executorch wheel: headers, definitions and libraries. CMake gets executorch_DIR.

find_package(executorch REQUIRED CONFIG)

# Compile and link `target` as the wheel's own libraries are. ET_USE_THREADPOOL is among the definitions: without it
# parallel_for is silently serial. Registration-only libraries (XNNPACK, the portable kernels) are kept.
function(s2m_edge_executorch target)
  target_include_directories(${target} SYSTEM PRIVATE ${EXECUTORCH_INCLUDE_DIRS})
  target_compile_definitions(${target} PRIVATE ${EXECUTORCH_COMPILE_DEFINITIONS})
  target_link_libraries(${target} PRIVATE ${EXECUTORCH_LIBRARIES})
endfunction()
