# Enables the CUDA language when this build has _cuda; else ALEXNET_WHY_NO_CUDA says why not.
# setup.py has decided already and passes these variables; cmake by hand asks the same script.
if(NOT DEFINED ALEXNET_NVCC)
  execute_process(
    COMMAND ${Python_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/toolchain.py ${ALEXNET_CUDA} ${CMAKE_CUDA_COMPILER}
    OUTPUT_VARIABLE decision
    COMMAND_ERROR_IS_FATAL ANY)
  cmake_language(EVAL CODE "${decision}")
endif()

if(ALEXNET_NVCC)
  set(CMAKE_CUDA_COMPILER "${ALEXNET_NVCC}")
  if(ALEXNET_NVCC_LIB_DIR)
    set(CMAKE_CUDA_FLAGS_INIT "-L\"${ALEXNET_NVCC_LIB_DIR}\"")
  endif()
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES AND NOT DEFINED ENV{CUDAARCHS})
    # Machine code for Turing, Ampere and Hopper. Code for 90a runs on Hopper alone, so what the driver compiles for
    # everything newer is the PTX of 80, which is made anyway: PTX of 90 would be one pass more over each file.
    set(CMAKE_CUDA_ARCHITECTURES "75-real;80;90a-real")
  endif()
  enable_language(CUDA)
endif()
