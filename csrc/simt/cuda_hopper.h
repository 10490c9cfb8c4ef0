// The nvcc half of hopper.h: one PTX instruction, or a short loop around one, under each name.
#pragma once

#include <cuda.h>

#include <string>

#if defined(__CUDA_ARCH__) && !defined(__CUDA_ARCH_FEAT_SM90_ALL)
#error "hopper.h is for sm_90a alone: nvcc -gencode arch=compute_90a,code=sm_90a"
#endif

namespace simt {

struct alignas(8) Mbarrier {
  std::uint64_t opaque;
};

using TensorMap = CUtensorMap;  // 128 bytes; a kernel takes it as const __grid_constant__ simt::TensorMap

// Throws simt::Error with the driver's number when it does not accept the tensor or the box.
inline TensorMap make_tensor_map(const TensorMapSpec& spec) {
  // The driver's own function, asked for at run time: the module then loads on machines without a driver.
  static const auto encode = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult found{};
    check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault,
                                           &found),
          "looking for cuTensorMapEncodeTiled");
    if (function == nullptr)
      throw Error("this driver has no cuTensorMapEncodeTiled; update it to CUDA 12 or later");
    return reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(function);
  }();
  static_assert(sizeof(cuuint64_t) == sizeof(std::uint64_t));
  TensorMap map;
  const CUresult result = encode(
      &map,
      spec.type == ElementType::bfloat16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_FLOAT32,
      static_cast<cuuint32_t>(spec.rank), const_cast<void*>(spec.base),
      reinterpret_cast<const cuuint64_t*>(spec.size), reinterpret_cast<const cuuint64_t*>(spec.stride),
      spec.box, spec.step, CU_TENSOR_MAP_INTERLEAVE_NONE, static_cast<CUtensorMapSwizzle>(spec.swizzle),
      CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) {
    throw Error("cuTensorMapEncodeTiled: CUDA driver error " + std::to_string(static_cast<int>(result)));
  }
  return map;
}

#if defined(__CUDACC__)

__device__ __forceinline__ std::uint32_t shared_address(const void* pointer) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
}

// ---- Barriers

__device__ __forceinline__ void mbarrier_init(Mbarrier& barrier, std::uint32_t count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(&barrier)), "r"(count)
               : "memory");
}

__device__ __forceinline__ void fence_mbarrier_init() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ __forceinline__ void mbarrier_arrive(Mbarrier& barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(&barrier)) : "memory");
}

__device__ __forceinline__ void mbarrier_arrive_expect_tx(Mbarrier& barrier, std::uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(&barrier)),
               "r"(bytes)
               : "memory");
}

__device__ __forceinline__ bool mbarrier_test(Mbarrier& barrier, std::uint32_t parity) {
  std::uint32_t ended;
  asm volatile(
      "{\n"
      ".reg .pred p;\n"
      "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
      "selp.u32 %0, 1, 0, p;\n"
      "}\n"
      : "=r"(ended)
      : "r"(shared_address(&barrier)), "r"(parity)
      : "memory");
  return ended != 0;
}

__device__ __forceinline__ void mbarrier_wait(Mbarrier& barrier, std::uint32_t parity) {
  while (!mbarrier_test(barrier, parity)) {
  }
}

// ---- Copies of boxes

__device__ __forceinline__ void fence_proxy_async() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

__device__ __forceinline__ void tma_prefetch(const TensorMap& map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
}

#define SIMT_TMA_LOAD(rank, coordinates, ...)                                                       \
  asm volatile("cp.async.bulk.tensor." rank                                                         \
               ".shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {" coordinates \
               "}], [%2];" ::"r"(shared_address(to)),                                               \
               "l"(&map), "r"(shared_address(&barrier)), __VA_ARGS__                                \
               : "memory")
#define SIMT_TMA_STORE(rank, coordinates, ...)                                                       \
  asm volatile("cp.async.bulk.tensor." rank ".global.shared::cta.tile.bulk_group [%0, {" coordinates \
               "}], [%1];" ::"l"(&map),                                                              \
               "r"(shared_address(from)), __VA_ARGS__                                                \
               : "memory")

template <int Rank>
__device__ __forceinline__ void tma_load(void* to, const TensorMap& map, Mbarrier& barrier,
                                         const int (&at)[Rank]) {
  static_assert(Rank >= 2 && Rank <= 5, "tensor maps have 2 to 5 dimensions");
  if constexpr (Rank == 2) {
    SIMT_TMA_LOAD("2d", "%3, %4", "r"(at[0]), "r"(at[1]));
  } else if constexpr (Rank == 3) {
    SIMT_TMA_LOAD("3d", "%3, %4, %5", "r"(at[0]), "r"(at[1]), "r"(at[2]));
  } else if constexpr (Rank == 4) {
    SIMT_TMA_LOAD("4d", "%3, %4, %5, %6", "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3]));
  } else {
    SIMT_TMA_LOAD("5d", "%3, %4, %5, %6, %7", "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3]), "r"(at[4]));
  }
}

template <int Rank>
__device__ __forceinline__ void tma_store(const TensorMap& map, const void* from, const int (&at)[Rank]) {
  static_assert(Rank >= 2 && Rank <= 5, "tensor maps have 2 to 5 dimensions");
  if constexpr (Rank == 2) {
    SIMT_TMA_STORE("2d", "%2, %3", "r"(at[0]), "r"(at[1]));
  } else if constexpr (Rank == 3) {
    SIMT_TMA_STORE("3d", "%2, %3, %4", "r"(at[0]), "r"(at[1]), "r"(at[2]));
  } else if constexpr (Rank == 4) {
    SIMT_TMA_STORE("4d", "%2, %3, %4, %5", "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3]));
  } else {
    SIMT_TMA_STORE("5d", "%2, %3, %4, %5, %6", "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3]), "r"(at[4]));
  }
}

#undef SIMT_TMA_LOAD
#undef SIMT_TMA_STORE

__device__ __forceinline__ void tma_store_commit() {
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}

template <int Groups>
__device__ __forceinline__ void tma_store_wait() {
  asm volatile("cp.async.bulk.wait_group %0;" ::"n"(Groups) : "memory");
}

template <int Groups>
__device__ __forceinline__ void tma_store_wait_read() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(Groups) : "memory");
}

__device__ __forceinline__ void cp_async16(void* to, const void* from, int bytes = 16) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
               "r"(bytes)
               : "memory");
}

__device__ __forceinline__ void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

template <int Groups>
__device__ __forceinline__ void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Groups) : "memory");
}

// ---- Matrices of a warp

template <bool kTrans = false>
__device__ __forceinline__ void ldmatrix_x4(std::uint32_t (&r)[4], const void* row) {
  if constexpr (kTrans) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
  }
}

template <bool kTrans = false>
__device__ __forceinline__ void stmatrix_x4(void* row, const std::uint32_t (&r)[4]) {
  if constexpr (kTrans) {
    asm volatile(
        "stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(shared_address(row)),
        "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3])
        : "memory");
  } else {
    asm volatile(
        "stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(shared_address(row)),
        "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3])
        : "memory");
  }
}

__device__ __forceinline__ void mma_m16n8k16(float (&d)[4], const std::uint32_t (&a)[4],
                                             const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// ---- Registers of a warpgroup: a multiple of 8, 24 to 256.

template <int Registers>
__device__ __forceinline__ void setmaxnreg_inc() {
  static_assert(Registers % 8 == 0 && Registers >= 24 && Registers <= 256);
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Registers));
}

template <int Registers>
__device__ __forceinline__ void setmaxnreg_dec() {
  static_assert(Registers % 8 == 0 && Registers >= 24 && Registers <= 256);
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Registers));
}

#endif

}  // namespace simt
