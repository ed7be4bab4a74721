// stb_image and stb_image_write, only the formats that this program promises.
#pragma once

#define STBI_NO_STDIO
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_MAX_DIMENSIONS 65535
#define STBI_WRITE_NO_STDIO
#include "stb_image.h"
#include "stb_image_write.h"
