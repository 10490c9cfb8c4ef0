// What the inline functions of hopper.h call, handed to the block that is running.

#include "simt/emulator/block.h"
#include "simt/emulator/hopper_runtime.h"
#include "simt/emulator/text.h"
#include "simt/emulator/wgmma_operand.h"

namespace simt::emulator {

void mbarrier_init(void* barrier, std::uint32_t count, Site site) {
  Block::here().mbarriers.initialise(barrier, count, site);
}
void fence_mbarrier_init() { Block::here().mbarriers.fence(); }
void mbarrier_arrive(void* barrier, std::uint32_t bytes, Site site) {
  Block::here().mbarriers.arrive(barrier, bytes, site);
}
bool mbarrier_test(void* barrier, std::uint32_t parity, Site site) {
  return Block::here().mbarriers.test(barrier, parity, site);
}
void mbarrier_wait(void* barrier, std::uint32_t parity, Site site) {
  Block::here().mbarriers.wait(barrier, parity, site);
}

void fence_proxy_async() {
  const Block& block = Block::here();
  if constexpr (kRaceBuild) RaceChecker::instance().fence_proxy(block.scheduler.current());
}
void tma_prefetch(const TensorMap& map, Site site) {
  Block::here();
  if (map.rank < 2 || map.rank > 5) {
    throw Error("tma_prefetch at " + where(site) + ": the tensor map was not made by make_tensor_map");
  }
}
void tma_load(void* to, const TensorMap& map, void* barrier, const int* at, int rank, Site site) {
  Block::here().bulk_copies.load(to, map, barrier, at, rank, site);
}
void tma_store(const TensorMap& map, const void* from, const int* at, int rank, Site site) {
  Block::here().bulk_copies.store(map, from, at, rank, site);
}
void tma_store_commit() { Block::here().bulk_copies.commit(); }
void tma_store_wait(int groups, StoreWait until) { Block::here().bulk_copies.wait(groups, until); }

void cp_async16(void* to, const void* from, int bytes, Site site) {
  Block::here().small_copies.issue(to, from, bytes, site);
}
void cp_async_commit() { Block::here().small_copies.commit(); }
void cp_async_wait(int groups) { Block::here().small_copies.wait(groups); }

void warp_matrix(WarpOperation operation, void* lane, Site site) {
  Block::here().warps.operate(operation, ~0u, reinterpret_cast<std::uintptr_t>(lane), 0, 32, site);
}

void wgmma(const WgmmaOperands& operands, Site site) { Block::here().warpgroups.issue(operands, site); }
void wgmma_fence() { Block::here().warpgroups.fence(); }
void wgmma_commit() { Block::here().warpgroups.commit(); }
void wgmma_wait(int groups, float* const (&named)[8], Site site) {
  Block::here().warpgroups.wait(groups, named, site);
}
std::uint64_t wgmma_descriptor(const void* tile, std::uint32_t leading, std::uint32_t stride, Swizzle swizzle,
                               Site site) {
  return encode_descriptor(Block::here().shared, tile, leading, stride, swizzle, site);
}

void setmaxnreg(int registers, bool increase, Site site) {
  Block::here().registers.set(registers, increase, site);
}

}  // namespace simt::emulator
