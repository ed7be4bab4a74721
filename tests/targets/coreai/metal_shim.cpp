// Runs the body of the Metal kernel as C++: what the Metal language and coreai-torch put around it is stood in for by
// plain C++ (23, for subscripts of several indices), one thread of the system for each thread of a threadgroup.
//   metal_shim IN OUT
// IN: B C H W M1 M2 as int32, then x, rows, columns, direct and crossed as float32. OUT: y as float32.
// Built with -DBODY="file", and -DSTORAGE=float or half. Every index is checked, and y is filled with a guard value.
#include <algorithm>
#include <array>
#include <barrier>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <thread>
#include <vector>

#include "half.hpp"

namespace {

using uint = unsigned int;

struct half {
  s2m_edge::Half bits;
  half() : half(0.0f) {}
  explicit half(float value) : bits(s2m_edge::to_half(value)) {}
  explicit operator float() const { return s2m_edge::to_float(bits); }
};

struct uint3 {
  uint x, y, z;
};

// A tensor's indices run from the innermost axis to the outermost.
template <class Value, std::size_t kRank>
struct tensor {
  std::array<int, kRank> extents;
  std::vector<Value> values;

  explicit tensor(std::array<int, kRank> sizes) : extents(sizes) {
    std::size_t count = 1;
    for (int size : sizes) count *= static_cast<std::size_t>(size);
    values.assign(count, Value(std::numeric_limits<float>::quiet_NaN()));
  }
  uint get_extent(int axis) const { return static_cast<uint>(extents.at(static_cast<std::size_t>(axis))); }
  template <class... Index>
  Value& operator[](Index... index) {
    static_assert(sizeof...(Index) == kRank);
    const std::array<int, kRank> at{index...};
    std::size_t offset = 0;
    for (std::size_t axis = kRank; axis-- > 0;) {
      if (at[axis] < 0 || at[axis] >= extents[axis]) {
        std::fprintf(stderr, "index %d of axis %zu is outside 0 .. %d\n", at[axis], axis, extents[axis] - 1);
        std::abort();
      }
      offset = offset * static_cast<std::size_t>(extents[axis]) + static_cast<std::size_t>(at[axis]);
    }
    return values[offset];
  }
  void read(std::FILE* file) {
    std::vector<float> plain(values.size());
    if (std::fread(plain.data(), sizeof(float), plain.size(), file) != plain.size()) std::exit(3);
    std::transform(plain.begin(), plain.end(), values.begin(), [](float value) { return Value(value); });
  }
};

enum class mem_flags { mem_threadgroup };
using std::min;

constexpr int kThreads = KERNEL_THREADS;
std::barrier<> barrier(kThreads);
void threadgroup_barrier(mem_flags) { barrier.arrive_and_wait(); }

// Threadgroup memory: one threadgroup runs at a time, so that a static variable is what its threads share.
#define threadgroup static
void kernel(tensor<STORAGE, 4>& x, tensor<STORAGE, 2>& rows, tensor<STORAGE, 2>& columns, tensor<STORAGE, 3>& direct,
            tensor<STORAGE, 3>& crossed, tensor<STORAGE, 4>& y, uint3 group, uint thread_index) {
#include BODY
}
#undef threadgroup

}  // namespace

int main(int count, char** words) {
  if (count != 3) return 2;
  std::FILE* in = std::fopen(words[1], "rb");
  std::int32_t sizes[6];
  if (!in || std::fread(sizes, sizeof(sizes), 1, in) != 1) return 3;
  const auto [batch, channels, height, width, m1, m2] = sizes;
  tensor<STORAGE, 4> x({width, height, channels, batch}), y({width, height, channels, batch});
  tensor<STORAGE, 2> rows({2 * m1, height}), columns({2 * m2, width});
  tensor<STORAGE, 3> direct({m2, m1, channels}), crossed({m2, m1, channels});
  x.read(in), rows.read(in), columns.read(in), direct.read(in), crossed.read(in);
  std::fclose(in);
  std::vector<std::thread> threads;
  for (uint thread = 0; thread < kThreads; ++thread)
    threads.emplace_back([&, thread, groups = uint3{uint(channels), uint(batch), 1}] {
      for (uint3 group{0, 0, 0}; group.y < groups.y; ++group.y)
        for (group.x = 0; group.x < groups.x; ++group.x) {
          kernel(x, rows, columns, direct, crossed, y, group, thread);
          barrier.arrive_and_wait();
        }
    });
  for (std::thread& thread : threads) thread.join();
  std::FILE* out = std::fopen(words[2], "wb");
  std::vector<float> plain(y.values.size());
  std::transform(y.values.begin(), y.values.end(), plain.begin(), [](const STORAGE& value) { return float(value); });
  if (!out || std::fwrite(plain.data(), sizeof(float), plain.size(), out) != plain.size()) return 4;
  std::fclose(out);
  return 0;
}
