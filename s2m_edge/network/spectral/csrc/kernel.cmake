# How the spectral kernel is compiled, whatever runtime it is registered with. In a registration's CMakeLists.txt:
#
#   include("${S2M_EDGE_KERNEL_FOLDER}/kernel.cmake")
#   add_library(name SHARED name.cpp)
#   s2m_edge_kernel(name)
#
# S2M_EDGE_PORTABLE=ON compiles for every processor of the last ten years instead of for this one.

option(S2M_EDGE_PORTABLE "Compile for x86-64-v3 or armv8-a instead of for this processor" OFF)
set(S2M_EDGE_KERNEL_INCLUDE "${CMAKE_CURRENT_LIST_DIR}")

# What the compiler is told about the processor: one list of flags for `output`, empty where it takes none.
function(s2m_edge_processor_flags output)
  set(flags "")
  if(MSVC)
    set(flags /arch:AVX2)
    if(CMAKE_SYSTEM_PROCESSOR MATCHES "ARM64|aarch64")
      set(flags "")
    endif()
  elseif(NOT S2M_EDGE_PORTABLE AND NOT CMAKE_CROSSCOMPILING)
    include(CheckCXXCompilerFlag)
    check_cxx_compiler_flag(-march=native S2M_EDGE_HAS_MARCH_NATIVE)
    if(S2M_EDGE_HAS_MARCH_NATIVE)
      set(flags -march=native)
    else()
      set(flags -mcpu=native)
    endif()
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
    set(flags -mavx2 -mfma -mf16c -mbmi -mbmi2 -mlzcnt -mmovbe -mpopcnt)  # x86-64-v3, in words old compilers know
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64|ARM64")
    set(flags -march=armv8-a)
  endif()
  set(${output} "${flags}" PARENT_SCOPE)
endfunction()

# Give `target` the kernel's folder, C++17, and the flags that it is fast with. No -ffast-math: results are the same
# sums, in the same order, on every run.
function(s2m_edge_kernel target)
  target_include_directories(${target} PRIVATE "${S2M_EDGE_KERNEL_INCLUDE}")
  target_compile_features(${target} PRIVATE cxx_std_17)
  set_target_properties(${target} PROPERTIES
    CXX_EXTENSIONS OFF
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON
    POSITION_INDEPENDENT_CODE ON)
  s2m_edge_processor_flags(processor)
  if(MSVC)
    target_compile_options(${target} PRIVATE /O2 ${processor})
  else()
    target_compile_options(${target} PRIVATE -O3 -ffp-contract=fast ${processor})
  endif()
endfunction()

# Let `target` run on PyTorch's own thread pool (ATen/Parallel.h). CMake gets S2M_EDGE_TORCH, the wheel's folder.
function(s2m_edge_torch_pool target)
  target_include_directories(${target} SYSTEM PRIVATE "${S2M_EDGE_TORCH}/include")
  # The pool is in these two; they are loaded already wherever the target is.
  find_library(S2M_EDGE_C10 c10 PATHS "${S2M_EDGE_TORCH}/lib" NO_DEFAULT_PATH REQUIRED)
  find_library(S2M_EDGE_TORCH_CPU torch_cpu PATHS "${S2M_EDGE_TORCH}/lib" NO_DEFAULT_PATH REQUIRED)
  target_link_libraries(${target} PRIVATE "${S2M_EDGE_TORCH_CPU}" "${S2M_EDGE_C10}")
  if(NOT MSVC)
    # at::parallel_for is an inline OpenMP region in some builds of PyTorch; without the flag it would run on one thread.
    target_compile_options(${target} PRIVATE -fopenmp)
  endif()
endfunction()
