// The g++ half of hopper.h: the same names, handed to the emulator with the line that called them.
#pragma once

#include "simt/emulator/hopper_runtime.h"
#include "simt/emulator/intrinsics.h"
#include "simt/emulator/tensor_map.h"

namespace simt {

struct alignas(8) Mbarrier {
  std::uint64_t opaque;
};

// ---- Barriers

inline void mbarrier_init(Mbarrier& barrier, std::uint32_t count, SIMT_SITE) {
  emulator::mbarrier_init(&barrier, count, site);
}
inline void fence_mbarrier_init() { emulator::fence_mbarrier_init(); }
inline void mbarrier_arrive(Mbarrier& barrier, SIMT_SITE) { emulator::mbarrier_arrive(&barrier, 0, site); }
inline void mbarrier_arrive_expect_tx(Mbarrier& barrier, std::uint32_t bytes, SIMT_SITE) {
  emulator::mbarrier_arrive(&barrier, bytes, site);
}
inline bool mbarrier_test(Mbarrier& barrier, std::uint32_t parity, SIMT_SITE) {
  return emulator::mbarrier_test(&barrier, parity, site);
}
inline void mbarrier_wait(Mbarrier& barrier, std::uint32_t parity, SIMT_SITE) {
  emulator::mbarrier_wait(&barrier, parity, site);
}

// ---- Copies of boxes

inline void fence_proxy_async() { emulator::fence_proxy_async(); }
inline void tma_prefetch(const TensorMap& map, SIMT_SITE) { emulator::tma_prefetch(map, site); }

template <int Rank>
void tma_load(void* to, const TensorMap& map, Mbarrier& barrier, const int (&at)[Rank], SIMT_SITE) {
  static_assert(Rank >= 2 && Rank <= 5, "tensor maps have 2 to 5 dimensions");
  emulator::tma_load(to, map, &barrier, at, Rank, site);
}
template <int Rank>
void tma_store(const TensorMap& map, const void* from, const int (&at)[Rank], SIMT_SITE) {
  static_assert(Rank >= 2 && Rank <= 5, "tensor maps have 2 to 5 dimensions");
  emulator::tma_store(map, from, at, Rank, site);
}
inline void tma_store_commit() { emulator::tma_store_commit(); }
template <int Groups>
void tma_store_wait() {
  emulator::tma_store_wait(Groups, emulator::StoreWait::written);
}
template <int Groups>
void tma_store_wait_read() {
  emulator::tma_store_wait(Groups, emulator::StoreWait::read);
}

inline void cp_async16(void* to, const void* from, int bytes = 16, SIMT_SITE) {
  emulator::cp_async16(to, from, bytes, site);
}
inline void cp_async_commit() { emulator::cp_async_commit(); }
template <int Groups>
void cp_async_wait() {
  emulator::cp_async_wait(Groups);
}

// ---- Matrices of a warp

template <bool kTrans = false>
void ldmatrix_x4(std::uint32_t (&r)[4], const void* row, SIMT_SITE) {
  emulator::MatrixRow args{const_cast<void*>(row), r, kTrans};
  emulator::warp_matrix(emulator::WarpOperation::ldmatrix, &args, site);
}
template <bool kTrans = false>
void stmatrix_x4(void* row, const std::uint32_t (&r)[4], SIMT_SITE) {
  emulator::MatrixRow args{row, const_cast<std::uint32_t*>(r), kTrans};
  emulator::warp_matrix(emulator::WarpOperation::stmatrix, &args, site);
}
inline void mma_m16n8k16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2], SIMT_SITE) {
  emulator::MmaOperands args{d, a, b};
  emulator::warp_matrix(emulator::WarpOperation::mma, &args, site);
}

// ---- Matrices of a warpgroup

inline void wgmma_fence() { emulator::wgmma_fence(); }
inline void wgmma_commit() { emulator::wgmma_commit(); }

// An accumulator that wgmma_wait names, or none.
struct Accumulator {
  float* registers = nullptr;
  Accumulator() = default;
  template <int Size>
  Accumulator(float (&d)[Size]) : registers(d) {}
};

template <int Groups>
void wgmma_wait(Accumulator a = {}, Accumulator b = {}, Accumulator c = {}, Accumulator d = {},
                Accumulator e = {}, Accumulator f = {}, Accumulator g = {}, Accumulator h = {}, SIMT_SITE) {
  float* const named[] = {a.registers, b.registers, c.registers, d.registers,
                          e.registers, f.registers, g.registers, h.registers};
  emulator::wgmma_wait(Groups, named, site);
}

template <Major A, Major B, int Size>
void wgmma(float (&d)[Size], std::uint64_t a, std::uint64_t b, bool add, SIMT_SITE) {
  static_assert(Size % 4 == 0 && Size >= 4 && Size <= 128, "n = 2 * Size: a multiple of 8, at most 256");
  emulator::wgmma({d, Size, nullptr, a, b, A, B, add}, site);
}
template <Major B, int Size>
void wgmma(float (&d)[Size], const std::uint32_t (&a)[4], std::uint64_t b, bool add, SIMT_SITE) {
  static_assert(Size % 4 == 0 && Size >= 4 && Size <= 128, "n = 2 * Size: a multiple of 8, at most 256");
  emulator::wgmma({d, Size, a, 0, b, Major::k, B, add}, site);
}

inline std::uint64_t wgmma_descriptor(const void* tile, std::uint32_t leading, std::uint32_t stride,
                                      Swizzle swizzle = Swizzle::bytes_128, SIMT_SITE) {
  return emulator::wgmma_descriptor(tile, leading, stride, swizzle, site);
}

// ---- Registers of a warpgroup: a multiple of 8, 24 to 256.

template <int Registers>
void setmaxnreg_inc(SIMT_SITE) {
  static_assert(Registers % 8 == 0 && Registers >= 24 && Registers <= 256);
  emulator::setmaxnreg(Registers, true, site);
}
template <int Registers>
void setmaxnreg_dec(SIMT_SITE) {
  static_assert(Registers % 8 == 0 && Registers >= 24 && Registers <= 256);
  emulator::setmaxnreg(Registers, false, site);
}

}  // namespace simt
