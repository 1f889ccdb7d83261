"""Object stores: list a bucket, fetch an object; one store a module, all with the same methods.

async with s3.open_(…) as store:
    index = await store.objects()         # {key: etag}
    etag = await store.fetch(key, file)
"""
