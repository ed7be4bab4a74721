/* A Vulkan driver in front of Mesa's lavapipe, which computes on the processor and has float16 arithmetic.

Chromium's own software adapter, SwiftShader, has none, and Chromium takes no other of software. Dawn, its WebGPU, opens
the file libvk_swiftshader.so beside the browser; a copy of the browser's folder with this in its place gets lavapipe.
Two things stand between:
- Dawn takes the adapter for SwiftShader only by its numbers, so the device says those.
- It asks every device for arrays of images with dynamic indices, which Mesa 22 lacks. The device announces them, and they
  are taken away again where a device is made: shaders of a network have no image at all. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EXPORTED __attribute__((visibility("default")))

typedef void (*Function)(void);
typedef Function (*GetFunction)(void *instance, const char *name);

/* Vulkan's structures as far as they are needed: https://registry.khronos.org/vulkan/specs/1.3/html/ */
typedef struct Chained {
  int32_t type;
  struct Chained *next;
} Chained;

typedef struct {
  int32_t type;
  Chained *next;
  uint32_t flags, queue_count;
  const void *queues;
  uint32_t layer_count;
  const void *layers;
  uint32_t extension_count;
  const void *extensions;
  const uint32_t *features;
} DeviceCreateInfo;

enum { SAMPLED_IMAGE_INDEXING = 34, STORAGE_IMAGE_INDEXING = 36, FEATURE_COUNT = 55 }; /* VkPhysicalDeviceFeatures */
enum { VENDOR = 2, DEVICE = 3 };                                                       /* VkPhysicalDeviceProperties */
enum { FEATURES_2 = 1000059000 };                                                      /* VkStructureType */
enum { GOOGLE = 0x1AE0, SWIFTSHADER = 0xC0DE };

static GetFunction lavapipe;
static void (*get_features)(void *, uint32_t *);
static void (*get_features_2)(void *, Chained *);
static void (*get_properties)(void *, uint32_t *);
static void (*get_properties_2)(void *, Chained *);
static int32_t (*create_device)(void *, const DeviceCreateInfo *, const void *, void *);

static uint32_t *body(Chained *structure) { return (uint32_t *)(structure + 1); }

static void set_indexing(uint32_t *features, uint32_t value) {
  features[SAMPLED_IMAGE_INDEXING] = features[STORAGE_IMAGE_INDEXING] = value;
}

static void name_device(uint32_t *properties) {
  properties[VENDOR] = GOOGLE;
  properties[DEVICE] = SWIFTSHADER;
}

static void features(void *device, uint32_t *found) {
  get_features(device, found);
  set_indexing(found, 1);
}

static void features_2(void *device, Chained *found) {
  get_features_2(device, found);
  set_indexing(body(found), 1);
}

static void properties(void *device, uint32_t *found) {
  get_properties(device, found);
  name_device(found);
}

static void properties_2(void *device, Chained *found) {
  get_properties_2(device, found);
  name_device(body(found));
}

static int32_t new_device(void *physical, const DeviceCreateInfo *asked, const void *allocator, void *device) {
  DeviceCreateInfo info = *asked;
  uint32_t wanted[FEATURE_COUNT];
  if (info.features) {
    memcpy(wanted, info.features, sizeof wanted);
    set_indexing(wanted, 0);
    info.features = wanted;
  }
  for (Chained *entry = info.next; entry; entry = entry->next) {
    if (entry->type == FEATURES_2) set_indexing(body(entry), 0);
  }
  return create_device(physical, &info, allocator, device);
}

EXPORTED Function vkGetInstanceProcAddr(void *instance, const char *name) {
  if (!lavapipe) {
    void *library = dlopen(LAVAPIPE, RTLD_NOW | RTLD_LOCAL);
    if (!library) return NULL;
    lavapipe = (GetFunction)dlsym(library, "vk_icdGetInstanceProcAddr");
  }
  if (!strcmp(name, "vkGetInstanceProcAddr")) return (Function)vkGetInstanceProcAddr;
  Function found = lavapipe(instance, name);
  if (!found) return found;
  struct {
    const char *name;
    void *theirs;
    Function ours;
  } replaced[] = {
      {"vkGetPhysicalDeviceFeatures", &get_features, (Function)features},
      {"vkGetPhysicalDeviceFeatures2", &get_features_2, (Function)features_2},
      {"vkGetPhysicalDeviceFeatures2KHR", &get_features_2, (Function)features_2},
      {"vkGetPhysicalDeviceProperties", &get_properties, (Function)properties},
      {"vkGetPhysicalDeviceProperties2", &get_properties_2, (Function)properties_2},
      {"vkGetPhysicalDeviceProperties2KHR", &get_properties_2, (Function)properties_2},
      {"vkCreateDevice", &create_device, (Function)new_device},
  };
  for (size_t at = 0; at < sizeof replaced / sizeof *replaced; ++at) {
    if (strcmp(name, replaced[at].name)) continue;
    memcpy(replaced[at].theirs, &found, sizeof found);
    return replaced[at].ours;
  }
  return found;
}
