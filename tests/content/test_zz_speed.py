import io, time, logging
from django.core.management import call_command
from apps.content.selectors.runs import run_progress
from apps.content.models import *
from apps.core.tenancy import in_tenant
from apps.core.jobs.execution import run_job
from tests.content.test_ingest import *
from tests.conftest import unfinished_jobs
import cProfile,pstats,sys
def test_speed(tenant, embedder):
    t=time.time(); c=time.process_time()
    call_command("ingest","/usr/share/doc/postgresql-doc-15/html",tenant=tenant.slug,stdout=sys.stdout)
    print("TAKE-IN",time.time()-t,time.process_time()-c)
    t=time.time(); c=time.process_time()
    call_command("ingest","/usr/share/doc/postgresql-doc-15/html",tenant=tenant.slug,stdout=sys.stdout)
    print("TAKE-IN again",time.time()-t,time.process_time()-c)
    jobs=unfinished_jobs(tenant)[:100]
    embedder.max_tokens=254
    p=cProfile.Profile()
    t=time.time(); c=time.process_time()
    for j in jobs: run_job(j)
    print("EXTRACT 100",time.time()-t,time.process_time()-c)
    jobs=[j for j in unfinished_jobs(tenant)][-100:]
    t=time.time(); c=time.process_time()
    p.enable()
    for j in jobs: run_job(j)
    p.disable()
    print("INDEX 100",time.time()-t,time.process_time()-c)
    pstats.Stats(p).sort_stats('cumtime').print_stats(30)
    with in_tenant(tenant):
        print(Document.objects.filter(status="ready").count(), Chunk.objects.count())
